// Command webapp serves the page and forwards its requests to api-gateway.
package main
