return { convert = function() error "not yet" end }
