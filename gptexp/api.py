"""The Python interface: run studies, load runs."""
