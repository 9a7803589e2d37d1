// verbs
