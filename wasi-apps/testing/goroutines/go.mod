module wasimoff/goroutines

go 1.22
