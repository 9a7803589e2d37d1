// listing
