"""The ROS 2 nodes: topics, parameters, threads. No mathematics."""
