"""What the API tells of itself: metrics, its log, whether its background work lives."""
