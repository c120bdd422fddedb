"""``ranvier jobs``: long work of all processes of this user."""

from __future__ import annotations

from typing import Annotated

import typer

from ranvier.cli.json_text import json_text
from ranvier.clients import VidereClient
from ranvier.models.jobs import JobInfo

app = typer.Typer(name="jobs", help="See, cancel, repeat and forget jobs.", rich_markup_mode=None)

JobId = Annotated[str, typer.Argument(help="Id of the job, as 'ranvier jobs' shows it.")]


Json = Annotated[bool, typer.Option("--json", help="For scripts.")]
Number = Annotated[int, typer.Option("--number", "-n", help="How many, newest first.")]


@app.callback(invoke_without_command=True)
def _default(context: typer.Context, json: Json = False, number: Number = 20) -> None:
    """See, cancel, repeat and forget jobs of this and other processes; alone, list them."""
    if context.invoked_subcommand is None:
        show(json=json, number=number)


@app.command("list")
def show(json: Json = False, number: Number = 20) -> None:
    """List the jobs, newest first. A job whose process died is lost; what it left unfinished is removed."""
    with VidereClient() as videre:
        found = list(videre.jobs())[: max(0, number)]
    if json:
        typer.echo(json_text([info.model_dump(mode="json") for info in found]))
        return
    for info in found:
        typer.echo(words(info))
    if not found:
        typer.echo("no jobs")


@app.command()
def cancel(job_id: JobId) -> None:
    """Ask a job to stop; it removes what it has written so far."""
    with VidereClient() as videre:
        typer.echo(words(videre.cancel_job(job_id)))


@app.command()
def retry(job_id: JobId) -> None:
    """Do again what a failed, cancelled or lost job should have done."""
    with VidereClient() as videre:
        typer.echo(words(videre.retry_job(job_id)))


@app.command()
def settings(
    memory_gib: Annotated[float | None, typer.Option("--memory", help="GiB for blocks and buffers.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Threads.")] = None,
    at_once: Annotated[int | None, typer.Option("--at-once", help="Jobs that run at once.")] = None,
    retries: Annotated[int | None, typer.Option("--retries", help="Tries after a failure that may pass.")] = None,
) -> None:
    """Show, or change, what running jobs take together at most."""
    with VidereClient() as videre:
        found = videre.set_job_settings(
            memory_bytes=None if memory_gib is None else round(memory_gib * 2**30),
            workers=workers,
            max_running=at_once,
            retries=retries,
        )
    typer.echo(
        f"{found.memory_bytes / 2**30:.3g} GiB, {found.workers} workers, {found.max_running} jobs at once, "
        f"{found.retries} retries"
    )


@app.command()
def clear() -> None:
    """Forget the jobs that have ended; their outputs stay."""
    with VidereClient() as videre:
        count = videre.clear_jobs()
    typer.echo(f"{count} jobs forgotten")


def words(info: JobInfo) -> str:
    """Return a job in one line (and what went wrong in a second one)."""
    parts = [info.created_utc[:19], info.id, f"{info.state.value:<9}", f"{info.progress.fraction:4.0%}", info.label]
    if info.attempts > 1:
        parts.append(f"(try {info.attempts})")
    if info.retry_of:
        parts.append(f"(again: {info.retry_of})")
    line = "  ".join(parts)
    return f"{line}\n    {info.error}" if info.error else line
