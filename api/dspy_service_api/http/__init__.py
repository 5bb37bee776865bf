"""HTTP: the application, its middleware and routes, access to them, errors as answers, the OpenAPI document."""
