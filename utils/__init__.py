"""The library part of Light-SERNet: nothing here imports a script."""
