"""The SDK is imported once for all tests, in a prepared environment; its import warns of what its libraries give up."""

from __future__ import annotations

import os
import tempfile
import warnings

from holmesgpt_api.investigator.holmes import sdk
from holmesgpt_api.investigator.holmes.prepare import prepare

prepare(os.environ, tempfile.mkdtemp(prefix="holmes-home-"))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    MODULES = sdk.import_modules()
