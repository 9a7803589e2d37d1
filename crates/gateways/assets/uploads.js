// uploads
