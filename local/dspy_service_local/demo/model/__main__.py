"""`python -m dspy_service_local.demo.model [--port N]`: the humble model on its own, for trying a service by hand."""

import contextlib

import click

from .server import MODEL, ModelServer


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default="a free one")
def serve(host: str, port: int) -> None:
    with ModelServer(host, port) as server, contextlib.suppress(KeyboardInterrupt):
        click.echo(f"model openai/{MODEL} ready at {server.url}")
        server.wait()


serve()
