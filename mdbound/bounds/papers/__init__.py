"""Values as the founding papers define them: two drafts, truncated programs."""
