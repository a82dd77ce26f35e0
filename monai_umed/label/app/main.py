"""MONAI Label app that protects the images of a datastore; `monai-umed label-app DIR` writes it.

Start it with `python -m monailabel.main start_server --app DIR --studies STUDIES --host 127.0.0.1`. What a server is to
do differently is said with `--conf NAME VALUE`, see `monai_umed.label.settings`; subclasses of the app go here.
"""

from monai_umed.label.application import UMedApp

__all__ = ["UMedApp"]  # MONAI Label takes the class of this file that derives from its own app
