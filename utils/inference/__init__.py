"""From recordings and microphones to predictions."""
