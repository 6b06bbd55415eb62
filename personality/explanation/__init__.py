"""Where a score comes from: attribution maps, measures of their faithfulness, and pictures of them."""
