"""What is fetched from elsewhere: addresses, archives, jars, and where they are kept."""
