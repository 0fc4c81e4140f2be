"""What detectors say of texts: injections in what comes in, ways out in what leaves. Signals, never the only gate."""
