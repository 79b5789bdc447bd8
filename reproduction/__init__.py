"""Records of finished runs, and the tables that are made from them."""

import utils  # noqa: F401  Ctrl-C during the imports ends without a traceback
