"""What one job costs, part by part, beside what the parts would cost without Toril."""
