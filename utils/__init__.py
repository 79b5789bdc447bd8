"""The library part of Light-SERNet: nothing here imports a script."""

import sys

# While Python looks for the module of `python -m utils...`, its name is "-m"
if sys.argv[:1] == ["-m"]:  # Ctrl-C during the imports ends without a traceback
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
