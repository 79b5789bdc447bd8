"""From an audio file to the input of the network."""
