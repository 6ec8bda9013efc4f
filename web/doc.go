// Package web is the admin listener: the admin API under /api/v1, metrics,
// health and readiness, on a gin engine of its own.
//
// Every /api call needs an admin token, whose role package access knows; routes.go
// says for each call which role may make it, and what the audit trail calls it.
// Errors are JSON with the field and the rule. No answer holds a live token but
// the one that hands out a token A or an admin token, once. The listener speaks
// plain HTTP: TLS is the ingress's.
// The package changes platforms only through parties.Registrar and knows no
// storage.
package web
