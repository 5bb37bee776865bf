"""The body of `POST /run`, read and bounded before anything is made of it."""
