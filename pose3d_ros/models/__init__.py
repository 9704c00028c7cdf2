"""The networks: one file per network or method, and what runs them. No ROS, files or topics."""
