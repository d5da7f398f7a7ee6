"""What is measured of Toril: through its public face, except where a figure says otherwise."""
