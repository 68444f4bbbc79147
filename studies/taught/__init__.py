"""Whether attention that is taught with masks finds lesions, and grades better."""
