"""Where an attempt runs: on the loop, in a thread, in a process of its own."""
