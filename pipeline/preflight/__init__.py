"""What a profile needs, looked at before it is run: data, weights, disk, memory, hours; tiny stand-ins."""
