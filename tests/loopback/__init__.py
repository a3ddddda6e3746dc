"""A stand-in for the W&B service on 127.0.0.1, strict about what it is sent. Test equipment, not a product."""
