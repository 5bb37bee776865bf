"""What a pod's containers find when they begin: their environment, their volumes, and how folders go again."""
