"""``python -m monai_umed.cli``, where the command ``monai-umed`` is not on the path."""

from . import app

app(prog_name="monai-umed")
