"""The CustomResourceDefinition, made from the resource's models: schema, CEL rules, the file itself."""
