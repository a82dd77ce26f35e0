"""The command line ``monai-umed``: a table of verbs, each a thin layer over a config of the bundle or a function."""

from __future__ import annotations

from collections.abc import Callable

import typer

import monai_umed as mu

from .advising import advise
from .auditing import audit, list_names
from .benchmarking import benchmark
from .help import Verb
from .labeling import label_app
from .places import bundle_path, phantom
from .protecting import fit, protect
from .proving import predict, prove, queries, reserve
from .restoring import new_key, restore
from .verifying import verify

VERBS: dict[str, Callable[..., None]] = {
    "protect": protect,
    "fit": fit,
    "verify": verify,
    "advise": advise,
    "audit": audit,
    "benchmark": benchmark,
    "restore": restore,
    "reserve": reserve,
    "queries": queries,
    "predict": predict,
    "prove": prove,
    "new-key": new_key,
    "list": list_names,
    "phantom": phantom,
    "bundle-path": bundle_path,
    "label-app": label_app,
}

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Publish segmentation datasets that people can look at but nobody can usefully train on."""
    mu.show_plain_errors()


for _name, _verb in VERBS.items():
    app.command(_name, cls=Verb)(_verb)
