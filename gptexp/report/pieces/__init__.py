"""What an author takes into a page of her own: figures and tables for React, as one HTML file, and as data."""
