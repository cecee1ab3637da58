"""One search over small networks for Fashion-MNIST, in two ways: ours, and as users of Ray Tune usually write it."""
