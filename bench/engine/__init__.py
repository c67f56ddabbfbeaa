"""The training engine: replicas of a cell in one program, close to the hardware."""
