"""Gates, waivers, promotion, automation levels and the audit of what is missing."""
