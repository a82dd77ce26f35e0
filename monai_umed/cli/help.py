"""How ``monai-umed VERB --help`` is laid out: options in panels by the question that they answer, then examples."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, is_dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

PANELS = {
    "What": "checkpoint section labels clean test test_labels original protectors protector exploiters defenses seeds "
    "cases reserve fraction groups max_queries clean hardness sequential recheck foreign seed num_classes ignore_label "
    "merge_masks intensity_window slice_axis spatial_dims num_train num_test quick quick_check",
    "How visible": "preset eps psnr target_psnr bound pattern_key advised advice target min_psnr levels accept",
    "Where": "output sealed seal_key proof_key key device as_json",
    "How long": "grid roi network_size recipe epochs batch_size workers cache stop_when_decided shard dask progress",
}
"""Every option of every verb, by the question that it answers; a test finds those that are missing."""

EXAMPLES = {
    "protect": ("protect DATA OUT", "protect IMAGES LABELS OUT --preset invisible", "protect DATA OUT --seal-key KEY"),
    "fit": ("fit DATA OUT", "fit DATA OUT --eps 8/255", "fit DATA OUT --protector em --bound roi"),
    "verify": ("verify OUT", "verify OUT --original DATA", "verify OUT --original DATA --json"),
    "advise": ("advise DATA", "advise DATA --min-psnr 45 --target 0.3", "protect DATA OUT --advised"),
    "audit": (
        "audit OUT --clean DATA --test DATA --output AUDIT",
        "audit OUT --clean DATA --test DATA --exploiters unet-instance --defenses none,jpeg-60+nnunet",
        "audit OUT --clean DATA --test DATA --full --workers 2",
    ),
    "benchmark": (
        "benchmark DATA OUT --protectors umed,em,constant-stamp",
        "benchmark DATA MORE OUT --protectors umed,em@roi --seeds 0,1,2",
        "benchmark DATA OUT --protectors umed,constant-stamp:period=2 --psnr 48",
    ),
    "restore": (
        "restore OUT --seal-key KEY --output ORIGINALS",
        "restore OUT --seal-key KEY --output ORIGINALS --cases a,b",
        "restore OUT/protected --sealed VAULT --seal-key KEY --output ORIGINALS",
    ),
    "reserve": (
        "reserve DATA OUT --proof-key KEY",
        "reserve DATA OUT --proof-key KEY --fraction 0.3 --groups FILE.csv",
        "protect DATA OUT --reserve 0.2 --proof-key KEY",
    ),
    "queries": (
        "queries OUT ASK --proof-key KEY",
        "queries OUT ASK --proof-key KEY --no-clean --max-queries 1000",
        "queries OUT ASK --proof-key KEY --original DATA --hardness FILE.csv",
    ),
    "predict": (
        "predict MODEL.ts ASK --output ANSWERS --grid 128,128",
        "predict MODEL.pt2 ASK --output ANSWERS --roi 96,96,96",
        "predict BUNDLE ASK --output ANSWERS --grid 256,256",
    ),
    "prove": (
        "prove ASK ANSWERS --proof-key KEY",
        "prove ASK ANSWERS --proof-key KEY --sequential",
        "prove PROOF.json --recheck --proof-key KEY",
    ),
    "new-key": ("new-key owner.key", "protect DATA OUT --seal-key owner.key", "protect DATA OUT --pattern-key own.key"),
    "list": ("list", "list --json", "audit OUT --clean DATA --test DATA --defenses flips+affine"),
    "phantom": ("phantom", "phantom DATA", "phantom DATA --spatial-dims 3"),
    "bundle-path": ("bundle-path", "label-app APP", "phantom DATA"),
    "label-app": ("label-app APP", "phantom STUDIES", "verify STUDIES_umed/FIT"),
}
"""Three commands for every verb, without the name of the program."""

AsJson = Annotated[bool, typer.Option("--json", help="print one JSON document and nothing else")]


class Verb(TyperCommand):
    """A verb whose options stand in panels, and whose help ends with its examples."""

    def __init__(self, name: str, *, help: str, **settings: Any) -> None:
        paragraphs = [" ".join(paragraph.split()) for paragraph in help.split("\n\n")]  # lines break by themselves
        examples = "\n".join(["Examples:", *(f"  monai-umed {line}" for line in EXAMPLES.get(name, ()))])
        super().__init__(name, **{**settings, "help": "\n\n".join(paragraphs), "epilog": examples})
        panel_of = {option: panel for panel, options in PANELS.items() for option in options.split()}
        for option in self.params:
            if isinstance(option, TyperOption):
                option.rich_help_panel = panel_of.get(str(option.name))
        self.params.sort(key=lambda param: [None, *PANELS].index(getattr(param, "rich_help_panel", None)))


@contextmanager
def only_json(asked: bool) -> Iterator[None]:
    """Send what is printed for people to the other stream if a machine reads this one."""
    with redirect_stdout(sys.stderr if asked else sys.stdout):
        yield


def print_json(value: Any) -> None:
    """Print a value as one JSON document."""
    print(json.dumps(asdict(value) if is_dataclass(value) and not isinstance(value, type) else value, indent=2))
