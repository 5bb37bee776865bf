"""From the body of `POST /run` to a job: parse, check, the objects that it consists of, writing them."""
