"""What happens around events: averages, time-frequency pictures, current sources, spikes."""
