"""HTTP: the application, its routes, who may call them, errors as answers."""
