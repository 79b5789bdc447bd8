"""Records of finished runs, and the tables that are made from them."""
