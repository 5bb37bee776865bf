"""`dspy-service-optimizer`: one job's run, from `ready` to `result.json`.

Importing this module imports dspy and whatever the usual job needs, and starts no thread, because a prewarmed process
imports it, forks, and calls `main`. The process ends with `os._exit`, so that threads and exit handlers of user code
cannot keep it alive.
"""

import argparse
import contextlib
import importlib
import logging
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import dspy

from dspy_service_core.records.call_lines import Tally
from dspy_service_core.records.usage import CallStage
from dspy_service_core.storage import pod_files
from dspy_service_runner.optimizer import settings as optimizer_settings
from dspy_service_runner.optimizer.adapters import adapter_of
from dspy_service_runner.optimizer.failures import Interrupt, JobFailed
from dspy_service_runner.optimizer.inputs import Job, read_job, read_rows, wait_until_ready
from dspy_service_runner.optimizer.interpreter.interpreter import interpreter_factory
from dspy_service_runner.optimizer.models import base_url_query
from dspy_service_runner.optimizer.models.journal import JournalCache
from dspy_service_runner.optimizer.models.models import ModelSet, build, give_secrets, take_credentials
from dspy_service_runner.optimizer.models.pace import stragglers
from dspy_service_runner.optimizer.models.pace.patience import Patience
from dspy_service_runner.optimizer.models.spending import answer_usage, prices
from dspy_service_runner.optimizer.models.spending.caps import Caps
from dspy_service_runner.optimizer.models.spending.ledger import Ledger
from dspy_service_runner.optimizer.outbox import AppendFile, Outbox
from dspy_service_runner.optimizer.output.prompt import shown
from dspy_service_runner.optimizer.output.result import RunRecord
from dspy_service_runner.optimizer.progress.candidates import Candidates
from dspy_service_runner.optimizer.progress.log_entries import LogEntries, Relay
from dspy_service_runner.optimizer.progress.progress import Progress
from dspy_service_runner.optimizer.run.stages import Run, RunContext, failure_of
from dspy_service_runner.optimizer.run.stop_signal import StopSignal
from dspy_service_runner.optimizer.run.validation import Prepared, prepare
from dspy_service_runner.optimizer.settings import Settings
from dspy_service_runner.optimizer.user_code.capture import Capture
from dspy_service_runner.optimizer.user_code.first_use import quiet_bars
from dspy_service_runner.redaction import Redactor, secrets_of

logger = logging.getLogger("dspy_service")

EXIT_NO_RESULT = 70
"""Exit code if not even `result.json` could be written."""


def preload() -> None:
    """Imports, for a prewarmed process, what only some optimizers need and a cold start should not pay for.

    numpy is not imported, because it starts threads.
    """
    for name in ("gepa.lm", "gepa.visualization"):
        importlib.import_module(name)


@dataclass(frozen=True)
class Arguments:
    inputs: Path
    out: Path
    scratch: Path
    log_quota: int


def main(argv: Sequence[str] | None = None) -> None:
    """Never returns."""
    arguments = parse(argv)
    code = EXIT_NO_RESULT
    try:
        code = run(arguments)
    finally:
        os._exit(code)


def parse(argv: Sequence[str] | None) -> Arguments:
    parser = argparse.ArgumentParser(prog="dspy-service-optimizer", description="Run one optimization job.")
    parser.add_argument("--in", dest="inputs", type=Path, required=True, help="folder that the reporter fills")
    parser.add_argument("--out", type=Path, required=True, help="folder that the reporter reads")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for temporary files")
    parser.add_argument("--log-quota", type=int, required=True, help="bytes of logs that are kept")
    return Arguments(**vars(parser.parse_args(argv)))


def run(arguments: Arguments) -> int:
    settings = optimizer_settings.load(os.environ)
    control = StopSignal(arguments.inputs / pod_files.STOP, settings.stop_interval)
    redactor = Redactor(secrets_of(os.environ))
    give_secrets(os.environ)
    capture = _capture(arguments, settings, redactor)
    if not wait_until_ready(arguments.inputs, settings.ready_timeout):
        return pod_files.EXIT_NOT_READY
    started = time.monotonic()
    outbox, tally = Outbox(arguments.out), Tally()
    journal = JournalCache(arguments.inputs / pod_files.CALLS, AppendFile(arguments.out / pod_files.CALLS), tally.read)
    ledger = Ledger(tally, journal.note)
    record = RunRecord(read_job(arguments.inputs))
    ledger.caps = Caps(record.job.spec.budget, tally.spending, journal.note)
    try:
        _execute(record, _context(arguments, settings, control, outbox, journal, ledger, redactor))
    except BaseException as error:
        _end(record, error)
    finally:
        capture.finish()
    ledger.close()
    made = {"": ledger.made(), **{stage: ledger.made(stage) for stage in get_args(CallStage)}}
    outbox.result(record.document(ledger.total(), ledger.breakdown(), made, time.monotonic() - started))
    return 0


def _capture(arguments: Arguments, settings: Settings, redactor: Redactor) -> Capture:
    """Called before all else, so that no output is lost."""
    stdout, stderr = os.dup(1), os.dup(2)
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = AppendFile(arguments.out / pod_files.LOGS)
    relay = Relay(stdout, redactor.text)
    capture = Capture(LogEntries(file, relay, arguments.log_quota, settings.max_line), settings.max_line)
    capture.start(stderr)
    return capture


def _context(
    arguments: Arguments,
    settings: Settings,
    control: StopSignal,
    outbox: Outbox,
    journal: JournalCache,
    ledger: Ledger,
    redactor: Redactor,
) -> RunContext:
    scratch = arguments.scratch.absolute()
    os.environ.setdefault("DSPY_CACHEDIR", str(scratch / "dspy"))
    with contextlib.suppress(OSError):
        os.chdir(arguments.scratch)
    progress = Progress(outbox, ledger.total, settings.progress_interval)
    progress.keep_written(settings.progress_document_interval)
    ledger.caps.scored = lambda: progress.calls
    return RunContext(
        inputs=arguments.inputs,
        scratch=scratch,
        outbox=outbox,
        settings=settings,
        control=control,
        journal=journal,
        ledger=ledger,
        progress=progress,
        patience=Patience(settings, ledger, progress.waits_for),
        candidates=Candidates(outbox, lambda: progress.calls, progress.improved, lambda: progress.own_calls, shown),
        redactor=redactor,
    )


def _execute(record: RunRecord, context: RunContext) -> None:
    context.progress.stage("Validating")
    random.seed(record.job.seed)
    credentials = take_credentials(record.job.spec, os.environ)
    models = build(record.job.spec, credentials)
    asked = record.job.spec.run
    context.patience.know(models, asked.threads, hedge=asked.hedge)
    context.patience.install()
    base_url_query.install()
    answer_usage.install()
    prices.install()
    stragglers.install()
    quiet_bars()
    _configure(context, record.job, models, context.settings.most_threads)  # the code may ask a model as it is loaded
    prepared = prepare(
        record.job, read_rows(context.inputs), models, context.settings, context.outbox.checkpoint, context.scratch
    )
    _say_what_has_no_say(models)
    _configure(context, record.job, models, prepared.plan.threads)
    _note(record, prepared)
    try:
        Run(prepared, context, record).execute()
    except JobFailed:
        context.patience.settle()
        raise
    context.patience.settle()
    record.succeed()


def _configure(context: RunContext, job: Job, models: ModelSet, threads: int) -> None:
    dspy.cache = context.journal
    dspy.configure(
        lm=models.default,
        adapter=adapter_of(job.spec),
        num_threads=threads,
        max_errors=context.settings.max_errors,
        interpreter_factory=interpreter_factory(context.settings),
    )


def _say_what_has_no_say(models: ModelSet) -> None:
    if dspy.settings.lm is not models.default:
        logger.warning("The job's code configures a model of its own: the job's default model is used in its place.")


def _note(record: RunRecord, prepared: Prepared) -> None:
    record.signature_name, record.metric_name = prepared.program.name, prepared.metric.name
    record.columns = prepared.columns.wire()
    record.splits = prepared.splits.counts
    record.unused_rows = prepared.unused_rows
    record.optimizes = prepared.strategy.optimizes


def _end(record: RunRecord, error: BaseException) -> None:
    if isinstance(error, Interrupt) and error.failure is None:
        record.cancel()
        return
    failure = failure_of(error, record.job.spec.optimizer.name)
    record.fail(failure)
    logger.error("%s: %s", failure.reason, failure.message, exc_info=error, extra={"exempt": True})
