"""Training of RootNet and PoseNet: recipes, what is learned, what is saved, and the loop."""
