"""`python -m pyodide_provider`: the native provider."""

import sys

from .native.main import main

sys.exit(main())
