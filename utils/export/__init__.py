"""From a Keras network to TFLite files and C sources."""
