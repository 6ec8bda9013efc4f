// Package web is the admin listener: the admin API under /api/v1, metrics,
// health and readiness, on a gin engine of its own.
//
// Every /api call needs the admin token. Errors are JSON with the field and the
// rule. No answer holds a live token but the one that hands out a token A, once.
// The package changes platforms only through parties.Registrar and knows no
// storage.
package web
