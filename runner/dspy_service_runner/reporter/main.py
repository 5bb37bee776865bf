"""`dspy-service-reporter`: the trusted sidecar of one attempt.

Exit codes: 0 when everything is in the store and the status, or when another attempt has taken over; 1 when the grace
period after SIGTERM was too short. When it is started again in the same pod (after a kill), it continues from what the
store holds.
"""

import logging
import os
import sys
from collections.abc import Mapping, Sequence

from dspy_service_runner.redaction import Redactor, secrets_of
from dspy_service_runner.reporter.attempt.attempt import Attempt
from dspy_service_runner.reporter.attempt.patience import GaveUp, Patience
from dspy_service_runner.reporter.attempt.termination import SignalTermination, Termination
from dspy_service_runner.reporter.inputs.arguments import Arguments, read_arguments
from dspy_service_runner.reporter.status.own_resource import Fenced, OwnResource, open_client

logger = logging.getLogger("dspy_service.reporter")

EXIT_GAVE_UP = 1


def main(argv: Sequence[str] | None = None) -> None:
    """A warm process may call this too, so the imports must not open files or connections or start threads."""
    termination = SignalTermination()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logger.setLevel(logging.INFO)
    arguments = read_arguments(sys.argv[1:] if argv is None else argv, os.environ)
    sys.exit(report(arguments, os.environ, termination))


def report(arguments: Arguments, environ: Mapping[str, str], termination: Termination) -> int:
    """Runs the attempt and returns the exit code."""
    token = arguments.token_folder / "token"
    patience = Patience(termination, arguments.grace_period)
    with open_client(arguments.api_server, arguments.token_folder) as client:
        own_resource = OwnResource(client, token, arguments.namespace, arguments.resource, arguments.pod_uid)
        try:
            Attempt(arguments, own_resource, Redactor(secrets_of(environ)), patience).run()
        except Fenced as reason:
            logger.info("nothing more to do: %s", reason)
        except GaveUp:
            logger.error("the grace period is over, and not everything is in the store or in the status")
            return EXIT_GAVE_UP
    return 0
