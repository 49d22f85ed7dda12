"""What window and engine say to each other: typed messages and their framing."""
