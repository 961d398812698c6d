"""``metanas dashboard``: Optuna's dashboard on our store."""

from __future__ import annotations

import click

from metanas.cli.options import HELP, store_option
from metanas.cli.quiet import quiet_optuna
from search_spaces.errors import MetanasError
from storage import Store


@click.command(context_settings=HELP)
@store_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port to listen on."
)
def command(store: str, host: str, port: int) -> None:
    """Open Optuna's dashboard on the store, until Ctrl-C; every trial has a note and a picture there."""
    try:
        from optuna_dashboard import run_server
    except ModuleNotFoundError:
        raise MetanasError("the dashboard is not installed: pip install 'metanas[dashboard]'") from None
    from metanas.cli.notes import Notes
    from storage.annotated import annotated

    quiet_optuna()
    with Store.open(store, create=False) as memory:
        notes = Notes(memory)
        with annotated(memory.url, notes) as storage:
            shown = f"Optuna's dashboard on {memory.shown}: http://{host}:{port}/ (Ctrl-C ends it)"
            click.echo(shown, err=True)
            try:
                run_server(storage, host=host, port=port, artifact_store=notes)
            except OSError as error:
                raise MetanasError(
                    f"cannot listen on {host}:{port}: {error.strerror}; choose another --port"
                ) from None
